{{ intervals('assignee_id') }}
