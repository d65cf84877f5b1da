"""Models that understand media, in helper processes that outlive a job: speech to text."""
