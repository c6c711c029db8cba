"""Text as tokens: corpora in memory maps, how they are prepared, and the embedded ones."""
