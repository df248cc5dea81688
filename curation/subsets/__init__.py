"""Nested subsets by predicates over score columns, and questions to them."""
