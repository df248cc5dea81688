"""From frozen benchmarks to scores: sets, videos, numbers, pages, and what looks at videos of people."""
