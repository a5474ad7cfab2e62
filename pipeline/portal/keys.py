"""Keys of the portal beside the releases that other code names."""

FOLDER = "portal"
INDEX, CURRENT = f"{FOLDER}/index.html", f"{FOLDER}/current.js"
