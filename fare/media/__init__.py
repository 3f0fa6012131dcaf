"""Things passengers hold to a reader, and how a reader proves what they are."""
