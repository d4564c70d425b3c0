"""A run once more under another prompt, model or rule set, with what the world said the first time."""
