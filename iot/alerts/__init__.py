"""What the rules found, kept until people have dealt with it, and told to the bank."""
