"""The parts used when nothing is configured: PostgreSQL, llama-server and a model, all from wheels."""
