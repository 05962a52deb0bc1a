"""The coordinator: Flower's server side and the relay. It holds no key, no row and no model."""
