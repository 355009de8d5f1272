"""The providers of the sandbox: what `aws`, `gcp` and `azure-native` are to the engine, without a cloud behind them."""
