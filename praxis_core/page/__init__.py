"""The page of a workcell: what a person sees of it in a browser, and may say."""
