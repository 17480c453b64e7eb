"""A Keras program on real face images. Under TensorFlow the first line reads ``import tensorflow as tf``; nothing else differs.

    python examples/keras_faces.py
"""

import matplotlib.pyplot as plt
import numpy as np
from faces_data import NAMES, load_data

import leptonc as tf  # was: import tensorflow as tf

tf.keras.utils.set_random_seed(0)
train_images, train_labels = load_data('train')
validation_images, validation_labels = load_data('validation')

model = tf.keras.Sequential([
    tf.keras.layers.Conv2D(32, (3, 3), activation='relu', input_shape=(224, 224, 3)),
    tf.keras.layers.MaxPooling2D((2, 2)),
    tf.keras.layers.Conv2D(64, (3, 3), activation='relu'),
    tf.keras.layers.MaxPooling2D((2, 2)),
    tf.keras.layers.Flatten(),
    tf.keras.layers.Dense(128, activation='relu'),
    tf.keras.layers.Dense(2, activation='softmax')
])
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
model.fit(train_images, train_labels, epochs=10, validation_split=0.2)

test_loss, test_accuracy = model.evaluate(validation_images, validation_labels)
print(f"Test accuracy: {test_accuracy:.2f}")
predictions = model.predict(validation_images)
predicted_labels = np.argmax(predictions, axis=1)

plt.figure(figsize=(10, 10))
for i in range(25):
    plt.subplot(5, 5, i + 1)
    plt.xticks([])
    plt.yticks([])
    plt.imshow(validation_images[i])
    plt.xlabel(NAMES[predicted_labels[i]])
plt.savefig('out/keras_faces.png')
