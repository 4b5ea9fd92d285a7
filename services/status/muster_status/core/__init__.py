"""What the status service knows and works out, without clock, network or waiting."""
