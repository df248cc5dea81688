import logging

class Logger(logging.Logger):
    # Added to the standard library's class by diffusers.
    def warning_once(self, msg: object) -> None: ...

def get_logger(name: str | None = None) -> Logger: ...
