import logging

# The standard library's class, to which diffusers adds a method.
class _Logger(logging.Logger):
    def warning_once(self, msg: object) -> None: ...

def get_logger(name: str | None = None) -> _Logger: ...
