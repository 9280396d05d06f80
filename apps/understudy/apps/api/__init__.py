"""What the server speaks under `/v1`: the OpenAI API, and Understudy's own."""
