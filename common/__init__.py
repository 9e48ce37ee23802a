"""What the labs share: data, seeds, plots, devices, and the grading harness."""
