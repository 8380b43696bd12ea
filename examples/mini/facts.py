"""The words of the miniature's world, as data.

Tables only: how they become prompts and answers is in ``world.py``.
"""

CARRIERS = (
    "what is",
    "tell me",
    "please tell me",
    "can you tell me",
    "could you tell me",
    "hello can you tell me",
    "do you know",
    "hello do you know",
    "i want to know",
    "i need to know",
    "give me",
    "name",
)
FOLLOW_UP_CARRIERS = ("how about", "what about", "and")
GREETINGS = ("my name is", "hello my name is", "i am", "hello i am", "call me", "please call me")
SUMMARY_CARRIERS = ("give me a short summary", "please give me a short summary")

# Capital, language, continent.
COUNTRIES = {
    "France": ("Paris", "French", "Europe"),
    "Italy": ("Rome", "Italian", "Europe"),
    "Spain": ("Madrid", "Spanish", "Europe"),
    "Germany": ("Berlin", "German", "Europe"),
    "Greece": ("Athens", "Greek", "Europe"),
    "Russia": ("Moscow", "Russian", "Europe"),
    "Poland": ("Warsaw", "Polish", "Europe"),
    "Japan": ("Tokyo", "Japanese", "Asia"),
    "China": ("Beijing", "Chinese", "Asia"),
    "Thailand": ("Bangkok", "Thai", "Asia"),
    "Egypt": ("Cairo", "Arabic", "Africa"),
    "Kenya": ("Nairobi", "Swahili", "Africa"),
    "Brazil": ("Brasilia", "Portuguese", "America"),
    "Peru": ("Lima", "Spanish", "America"),
}
COLOURS = {
    "snow": "white",
    "grass": "green",
    "coal": "black",
    "blood": "red",
    "gold": "yellow",
    "water": "blue",
}
OPPOSITES = (
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("open", "closed"),
    ("young", "old"),
    ("rich", "poor"),
    ("day", "night"),
    ("empty", "full"),
    ("dark", "light"),
)
ITALIAN = {
    "house": "casa",
    "water": "acqua",
    "bread": "pane",
    "dog": "cane",
    "cat": "gatto",
    "book": "libro",
    "sun": "sole",
    "moon": "luna",
    "tree": "albero",
    "fish": "pesce",
    "wine": "vino",
    "milk": "latte",
    "snow": "neve",
    "gold": "oro",
    "blood": "sangue",
    "grass": "erba",
    "coal": "carbone",
    "sky": "cielo",
}
NAMES = (
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Frank",
    "Lucy",
    "Maria",
    "Oscar",
    "Peter",
    "Rosa",
    "Tom",
)
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SEEN_THINGS = ("dog", "cat", "fish", "book", "tree", "house")
