"""What the submitter knows and decides, without clock, network or waiting."""
