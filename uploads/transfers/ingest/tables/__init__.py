"""Tables of other databases, whose rows can be ingested."""
