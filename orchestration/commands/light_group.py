"""A group of commands that is answered before pydantic is imported, which takes half of the time that help takes."""

import typer.core


class LightGroup(typer.core.TyperGroup):
    """Says that --help was not given by False; typer converts a None by pydantic, but leaves a bool as it is."""

    def get_help_option(self, ctx):  # type: ignore[no-untyped-def] # its types are typer's own and private
        """The option with that default."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option
