"""The stages of the bot: collect, risk, evaluate, decide, execute; the engine joins them."""
