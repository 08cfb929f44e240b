{{ intervals('status') }}
