"""Whole, validated configurations: `laptop`, `people`, `wan2.1-1.3b`, `wan2.1-14b`, `seaweed-8b`."""

from profiles.load import ProfileError, available_profiles, changed_profile, load_profile, resolve_source
from profiles.schema import Profile

__all__ = ["Profile", "ProfileError", "available_profiles", "changed_profile", "load_profile", "resolve_source"]
