"""What runs at a party: its manifest and sources, vault, channels, and the Flower ClientApp."""
