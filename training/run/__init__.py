"""One training as a process: job file, launch, supervision, record, product."""
