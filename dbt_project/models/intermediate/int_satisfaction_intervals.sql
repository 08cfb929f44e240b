{{ intervals('satisfaction_score') }}
