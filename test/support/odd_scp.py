"""A Storage and Query SCP that does what a file says, read again for each request:

keep    takes instances and lists them
lie     answers 0000H and keeps nothing
hang    takes the data set and never answers
busy    answers A700H

Usage: odd_scp.py PORT MODE_FILE FOLDER [tls=CA,KEY,CERTIFICATE] [TRANSFER_SYNTAX…]; without any of these it takes all. With tls= it
asks for a client certificate that the CA signed. Each instance that is kept is one file; a second copy gets a name of its own.
"""
import ssl
import sys
import threading
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

port, mode_file, folder = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
tls = next((argument[4:].split(",") for argument in sys.argv[4:] if argument.startswith("tls=")), None)
syntaxes = [argument for argument in sys.argv[4:] if not argument.startswith("tls=")]
listed = {}
never = threading.Event()


def mode():
    return mode_file.read_text().strip()


def on_store(event):
    now = mode()
    if now == "hang":
        never.wait()
    if now == "busy":
        return 0xA700
    if now == "keep":
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        uid = dataset.SOPInstanceUID
        copies = len(list(folder.glob(f"{uid}*")))
        dataset.save_as(folder / f"{uid}-{copies}.dcm", enforce_file_format=True)
        listed[uid] = dataset.SeriesInstanceUID
    return 0x0000


def on_find(event):
    if event.identifier.QueryRetrieveLevel != "IMAGE":
        yield 0xA900, None
        return
    for uid, series in list(listed.items()):
        if series == event.identifier.SeriesInstanceUID:
            match = Dataset()
            match.QueryRetrieveLevel = "IMAGE"
            match.SOPInstanceUID = uid
            yield 0xFF00, match
    yield 0x0000, None


def tls_context():
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls[0])
    context.load_cert_chain(tls[2], tls[1])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


ae = AE(ae_title="ODDSCP")
ae.supported_contexts = AllStoragePresentationContexts
for context in ae.supported_contexts:
    context.transfer_syntax = syntaxes or ALL_TRANSFER_SYNTAXES
ae.add_supported_context(Verification)
ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
ae.start_server(("127.0.0.1", port), block=True, ssl_context=tls_context(), evt_handlers=[(evt.EVT_C_STORE, on_store), (evt.EVT_C_FIND, on_find)])
