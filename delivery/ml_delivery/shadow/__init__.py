"""Shadow AI: endpoints, models and the like that exist in an account and that no stack owns."""
