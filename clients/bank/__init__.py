"""What only a bank, the label party, does."""
