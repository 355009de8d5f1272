"""What the scoring service is measured beside: the same model in other servers, and in the least that serves it."""
