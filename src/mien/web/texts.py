"""All texts of the web page in one place, for translation.

Names in braces are replaced by values when the text is shown. ``SCRIPT``, ``LIVE``, ``RESULT`` and ``GENDER``
also go to the page's scripts as JSON.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Texts: TypeAlias = Mapping[str, Mapping[str, str]]

LANGUAGE: Final = "en"

SITE: Final = {
    "name": "mien",
    "description": "Apparent age and perceived gender from photos of faces. Photos are never stored.",
    "skip": "Skip to the content",
    "navigation": "Pages",
    "home": "Estimate",
    "info": "How it works",
    "help": "Help",
    "privacy": "Your photo is read in memory and never stored.",
    "misuse": "An estimate is an impression, not a fact about a person. Please do not use it to decide "
    "about anyone: not for access, age checks, work, credit or policing.",
    "version": "mien {version}",
    "api": "API documentation",
}

HOME: Final = {
    "title": "mien: how old does a face look?",
    "heading": "How old does a face look?",
    "lede": "Give mien a photo. It finds every face and estimates the apparent age, with an interval that "
    "shows how sure it is, and the perceived gender.",
    "tool": "Your photos",
    "drop": "Drop photos here",
    "or": "or paste them, or",
    "choose": "Choose photos",
    "camera": "Take a photo",
    "limits": "JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP. Up to {size} each, {count} at a time.",
    "options": "Options",
    "faces": "The photo shows",
    "detect": "people: find their faces",
    "aligned": "one face, already cropped",
    "coverage": "The interval should contain the age",
    "coverage_choice": "{percent} times out of 100",
    "submit": "Estimate",
    "sample_title": "No photo at hand?",
    "sample": "Try the sample",
    "sample_credit": "Astronaut Eileen Collins. Photo: NASA, public domain.",
    "sample_alt": "Portrait of a smiling astronaut in an orange suit, a flag and a model shuttle behind her",
}

CAMERA: Final = {
    "title": "Take a photo",
    "view": "What the camera sees",
    "take": "Take it",
    "close": "Close",
    "missing": "The camera only works if this page is opened over https, or on the server's own machine.",
}

LIVE: Final = {
    "open": "Live",
    "title": "Live",
    "note": "Frames are sent to this server one at a time. They are read in memory and never stored.",
    "rate": "{rate} frames per second",
    "stop": "Stop",
    "switch": "Switch camera",
}

RESULT: Final = {
    "title": "mien: what it sees",
    "heading": "What mien sees",
    "photo_alt": "The photo {name} with its faces marked",
    "one_face": "One face",
    "several_faces": "{count} faces",
    "no_faces": "No face found",
    "size": "{width} × {height} pixels",
    "face": "Face {number}: apparent age {years}, perceived {gender}",
    "chip_alt": "Face {number}",
    "age": "apparent age",
    "interval": "{low} to {high}",
    "interval_note": "{percent} % interval",
    "interval_label": "Interval on a scale from 0 to 100: {low} to {high} years",
    "gender": "perceived",
    "none_title": "mien found no face in this photo.",
    "none_intro": "This happens, and it says nothing about the person. These often help:",
    "none_look": "a face that looks towards the camera, without a mask or a hand in front of it",
    "none_light": "more light, from the front",
    "none_crop": "cropping the photo, so that the face fills more of it",
    "none_upright": "turning the photo, so that the face stands upright",
    "none_aligned": "Is the photo itself a crop of one face?",
    "aligned": "Read it as a face crop",
    "aligned_again": "Choose the photo again, and it will be read as a face crop.",
    "another": "Try another photo",
    "cancel": "Cancel",
    "marked": "Download with marks",
    "save_json": "Download JSON",
    "copy_json": "Copy JSON",
    "show_json": "The answer as JSON",
    "failed": "No answer for this photo",
    "back": "Back to the start",
}

GENDER: Final = {
    "female": "female",
    "male": "male",
    "uncertain": "uncertain",
}

FLAGS: Final = {
    "small_face": "Small in the photo, so less sure",
    "blurred": "Blurred, so less sure",
    "dark": "Dark, so less sure",
    "profile": "Turned to the side, so less sure",
    "cut_off": "Cut off by the edge, so less sure",
    "low_score": "Perhaps not a face",
    "damaged": "The photo is damaged, so less sure",
}

TROUBLE: Final = {
    "title": "mien: that did not work",
    "heading": "That did not work",
}

INFO: Final = {
    "title": "mien: how it works",
    "heading": "How it works",
    "lede": "mien says how old a face looks and which gender a viewer would perceive. It does not know "
    "anyone: no name, no true age, no identity.",
    "ways": "How an estimate is made",
    "ways_text": "A photo is turned upright, its faces are found, and each is cropped in the same way as "
    "the faces that the model was trained on. The model gives a probability to every age. The estimate is "
    "the median of these probabilities. The interval is calibrated on faces that were held out from "
    "training.",
    "ways_alt": "Two rows of steps. Estimating: photo, find faces, cut out, model, estimate. Making the "
    "model: labelled faces, cut out, train, check and calibrate, model file. Both use the same crop, and "
    "the model file of the second row is the model of the first.",
    "estimating": "estimating",
    "making": "making the model",
    "photo": "photo",
    "find": "find faces",
    "crop": "crop",
    "model": "model",
    "estimate": "estimate",
    "labelled": "labelled faces",
    "train": "train",
    "check": "calibrate",
    "file": "model file",
    "same_crop": "the same crop",
    "interval": "What the interval means",
    "interval_text": "One photo does not tell an age to the year. For faces like those it was measured on, "
    "a 90 % interval contains the age that people gave them about nine times in ten. A wide interval means "
    "that the age is hard to tell.",
    "privacy": "What happens to your photo",
    "privacy_text": "Your photo is read in memory and never stored. Neither its content nor its name is "
    "written to a log, and the copy with marks that you can download carries no metadata, such as the "
    "place it was taken.",
    "card": "The model in figures",
    "card_note": "From the card of the model “{name}”, version {version}.",
    "other_model": "This server uses another model, “{name}”, version {version}. Its file says:",
    "training_data": "Trained on",
    "metrics": "Figures",
    "licence": "Terms",
}

HELP: Final = {
    "title": "mien: help",
    "heading": "Help",
    "lede": "What mien reads, what makes a good photo, and how to use it without a mouse or without a "
    "browser.",
    "formats": "Photos",
    "formats_text": "JPEG, PNG, WebP, HEIC, AVIF, GIF (its first frame), TIFF and BMP, in any orientation. "
    "On this server, a photo may have up to {size} and {pixels} megapixels, a JPEG four times as many. Up to "
    "{count} photos may be sent at a time.",
    "good": "A good photo",
    "good_look": "The face looks roughly into the camera and stands upright.",
    "good_size": "The face is at least {pixels} pixels wide; more is better.",
    "good_light": "Even light from the front. Hard shadows and strong filters change how old a face looks.",
    "good_free": "Nothing covers it: no mask, no hand, no dark glasses.",
    "crop_text": "If a photo is already the crop of one face, choose “{aligned}” in the options.",
    "reading": "Reading the answer",
    "reading_age": "The large figure is the apparent age. The bar below it is its interval, on a scale "
    "from 0 to 100.",
    "reading_gender": "Perceived gender is what a viewer would say, with its probability; near 50 % it is "
    "a toss-up. The training data has two genders only.",
    "reading_flags": "A note under a face says why its estimate is less sure, for example because the face "
    "is very small.",
    "keyboard": "Keyboard",
    "keyboard_tab": "goes from control to control; in the result, it goes through the faces and highlights "
    "their boxes.",
    "keyboard_enter": "presses the button, or follows a face's number from its card to its box and back.",
    "keyboard_paste": "pastes a copied photo, anywhere on the first page.",
    "keyboard_escape": "closes the camera or Live.",
    "api": "The API in three commands",
    "api_predict": "Estimate a photo:",
    "api_crop": "Read a face crop, with an interval of another width:",
    "api_model": "Show the model:",
    "api_more": "The full documentation:",
    "api_docs": "interactive documentation",
    "api_schema": "OpenAPI document",
}

SCRIPT: Final = {
    "not_picture": "mien cannot read {name} as a picture. Choose a JPEG, PNG, WebP or HEIC photo.",
    "too_large": "{name} is larger than {size}. Choose a smaller copy.",
    "empty": "{name} is empty. Copy or download it again.",
    "too_many": "Only {count} photos at a time; the rest was left out.",
    "no_picture_pasted": "There was no picture in what you pasted.",
    "pasted": "pasted photo",
    "taken": "camera photo",
    "remove": "Remove {name}",
    "no_preview": "No preview here, but mien reads it",
    "ready_one": "One photo is ready.",
    "ready_several": "{count} photos are ready.",
    "looking": "Looking at {name} …",
    "looking_count": "Looking at photo {number} of {count} …",
    "waiting": "Looking …",
    "busy": "Many photos are waiting. Trying again in {seconds} s …",
    "done": "Done. {summary}",
    "summary": "{photos}: {faces}.",
    "one_photo": "One photo",
    "several_photos": "{count} photos",
    "unreachable": "The server cannot be reached. Your photos are still here; check that it runs and try "
    "again.",
    "unclear": "The server gave an unexpected answer ({status}). Please try again.",
    "signed_out": "Something other than mien answered. You may have been signed out: sign in again in "
    "another tab, then try again.",
    "cut_short": "The answer was cut short. Please try again.",
    "too_large_on_way": "The photo is larger than a server on the way allows. Choose a smaller copy.",
    "unforeseen": "Something went wrong on this page. Please try again.",
    "cancelled": "Cancelled before there was an answer.",
    "twice": "{name} has already been added.",
    "nothing_dropped": "There was no file in what you dropped. Save the picture first, or copy it and paste "
    "it here.",
    "retry": "Try again",
    "copied": "The JSON is on the clipboard.",
    "copy_failed": "The clipboard cannot be used here. Download the JSON instead.",
    "camera_failed": "The camera cannot be used ({reason}). Choose a photo instead.",
    "camera_ended": "The camera was disconnected or stopped. Choose a photo, or start Live again.",
    "sample_name": "astronaut.jpg",
}

ENGLISH: Final[Texts] = {
    "site": SITE,
    "home": HOME,
    "camera": CAMERA,
    "live": LIVE,
    "result": RESULT,
    "gender": GENDER,
    "flags": FLAGS,
    "trouble": TROUBLE,
    "info": INFO,
    "help": HELP,
    "script": SCRIPT,
}
