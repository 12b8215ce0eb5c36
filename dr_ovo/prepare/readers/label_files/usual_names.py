"""The usual names of the columns of a label file, by their role."""

from __future__ import annotations

# As `simple_name` writes them; the first match is used. EyePACS, APTOS, IDRiD, Messidor-2,
# DeepDRiD, DDR, BRSET, mBRSET, RFMiD.
USUAL_NAMES = {
    "image": (
        "image", "id_code", "image_name", "image_id", "image_path", "image_file", "file",
        "filename", "file_name", "filepath", "file_path", "path", "img", "img_name", "img_id",
        "img_path", "imagename", "imageid", "id", "name",
    ),
    "patient": (
        "patient", "patient_id", "patientid", "id_patient", "patient_no", "patient_nr",
        "patient_num", "patient_number", "patient_code", "patient_name", "patientno", "pid",
        "pt_id", "ptid", "mrn", "subject", "subject_id", "subjectid", "subject_no",
        "subject_number", "participant", "participant_id", "participantid", "person_id", "eid",
        "paciente", "paciente_id", "id_paciente", "case_id", "case", "caseid",
    ),
    "eye": ("eye", "laterality", "exam_eye", "eye_side", "side"),
    "split": ("split", "set", "subset", "partition", "dataset_split"),
    "group": (),  # a visit or site must be named by flag: a wrong guess would join whole clinics
}  # fmt: skip
# A case may be a photograph: such a column is of patients only where its values repeat.
MAY_BE_OF_PHOTOGRAPHS = {"case_id", "case", "caseid", "eid", "pid"}
