"""The additive default model: weights held by their owners, block-Newton turns between parties."""
