"""leptonc as a backend of Keras 3, under the name that Keras looks for: ``KERAS_BACKEND=leptonc``.

Importing this package registers the backend and imports nothing else; what it is made of lies in ``leptonc.keras``.
"""

from keras_leptonc.registration import register

register()
