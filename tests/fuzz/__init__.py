"""Coverage-guided fuzzing of the framer and the session, and its corpus, which tests replay."""
