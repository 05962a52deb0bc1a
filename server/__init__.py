"""What runs at the coordinator (`coordinator`) and at the bank's scoring desk (`desk`)."""
