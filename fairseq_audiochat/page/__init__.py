"""A page in the browser: speak to a trained model, write to it, and see what it hears."""
