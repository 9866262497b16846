"""Training of models: data, recipes, runs, export."""
