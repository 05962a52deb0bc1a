"""What is known of each machine: a fold over its samples in the device's own order."""
