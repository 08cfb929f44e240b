{{ intervals('group_id') }}
