"""Stores: `base` and `resumable` are the contract, the other modules implement it."""
