"""Speed as ratios beside named peers in one process; printed, never asserted."""
