"""A policy pack for ML platforms: rules as intents, with a check for every resource type on every cloud."""
