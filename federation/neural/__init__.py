"""The neural default model: several banks train one network, each on whole rows of its own."""
