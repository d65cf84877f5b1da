"""What we measure ourselves against: each as its own users would write it, and each ends in fdatasync."""
