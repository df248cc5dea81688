"""Libraries against own code, each measured for a page of docs/decisions/. They are installed for the measurement alone."""
