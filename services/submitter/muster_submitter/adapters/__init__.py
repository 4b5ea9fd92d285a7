"""What the submitter uses of the world beside journal and cluster."""
