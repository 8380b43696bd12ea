"""Questions spoken by people: prompts from OpenAssistant, sheets, and the recordings' checks."""
