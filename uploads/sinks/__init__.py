"""Where bytes live. `base` holds the contract; each other module is one place that keeps it."""
