"""A dataset of labelled images, wherever they lie."""

from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.streamed_images import StreamedImages

AnyImages = ImageData | StreamedImages
